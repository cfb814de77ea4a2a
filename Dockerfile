# One image for every role: carecase intake, worker, flower, db upgrade.
FROM python:3.11-slim AS build
WORKDIR /build
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.11-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY requirements-image.lock /tmp/
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements-image.lock && rm /tmp/requirements-image.lock
COPY --from=build /wheels/*.whl /tmp/
RUN pip install --no-cache-dir --no-deps /tmp/*.whl && rm /tmp/*.whl \
    && useradd --system --create-home carecase
USER carecase
ENTRYPOINT ["carecase"]
CMD ["--help"]
