# One image for every role: carecase intake, worker, flower, db upgrade.
ARG PYTHON_IMAGE=python:3.11-slim
FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements-image.lock ./
RUN python -m venv --without-pip /opt/carecase \
    && pip --python /opt/carecase install --require-hashes -r requirements-image.lock
COPY requirements-build.lock ./
RUN pip install --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && pip --python /opt/carecase install --no-deps --no-index /wheels/*.whl

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="carecase-worker" \
      org.opencontainers.image.description="Asynchronous batch ingestion of CareCases" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 carecase \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin carecase \
    # a volume that is mounted here belongs to the user, too
    && install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/carecase/audit
COPY --from=build /opt/carecase /opt/carecase
ENV PATH=/opt/carecase/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# a number, so that Kubernetes can tell that it is not root
USER 10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["carecase"]
CMD ["--help"]
