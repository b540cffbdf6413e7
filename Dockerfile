# One image for every role: listener, worker, periodic, beat, flower, and any other command (docs/docker.md).
#   docker build -t archive-ingester .
#   docker build -t archive-ingester:demo --target demo .      with the small S3 and Archive API for trying it out
ARG PYTHON=3.13

# The dependencies first: they change seldom, and their layer is kept while the code changes.
FROM python:${PYTHON}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY deploy/requirements.lock deploy/
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --require-hashes --no-deps -r deploy/requirements.lock
COPY LICENSE README.md pyproject.toml ./
COPY lco_ingester lco_ingester
COPY ingester_app ingester_app
RUN pip --python /opt/venv/bin/python install --no-deps --no-build-isolation .

FROM build AS build-demo
COPY deploy/requirements-demo.lock deploy/
COPY ingester_demo ingester_demo
RUN pip --python /opt/venv/bin/python install --require-hashes --no-deps -r deploy/requirements-demo.lock \
    && pip --python /opt/venv/bin/python install --no-deps --no-build-isolation .

# All that runs, but for the virtual environment.
FROM python:${PYTHON}-slim AS runtime
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --no-log-init --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin ingester
WORKDIR /app
COPY deploy/entrypoint deploy/healthcheck /usr/local/bin/
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["healthcheck"]
ENTRYPOINT ["entrypoint"]
CMD ["worker"]

FROM runtime AS demo
# A new volume that is mounted here takes this owner.
USER 0
RUN install -d -o 10001 -g 10001 /frames
USER 10001:10001
COPY --from=build-demo /opt/venv /opt/venv

# The last stage is the one that is built if none is named.
FROM runtime AS service
COPY --from=build /opt/venv /opt/venv
