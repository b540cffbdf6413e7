# One image for every role: listener, worker, periodic, beat, flower, and any other command (docs/docker.md).
#   docker build -t archive-ingester .
#   docker build -t archive-ingester:demo --target demo .      with the small S3 and Archive API for trying it out
ARG PYTHON=3.13

# The dependencies first: they change seldom, and their layer is kept while the code changes.
FROM python:${PYTHON}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY pyproject.toml ./
COPY deploy/requirements_of.py deploy/
RUN python -m venv --without-pip /opt/venv \
    && python deploy/requirements_of.py service > service.txt \
    && pip --python /opt/venv/bin/python install -r service.txt
COPY README.md ./
COPY lco_ingester lco_ingester
COPY ingester_app ingester_app
RUN pip --python /opt/venv/bin/python install --no-deps .

FROM build AS build-demo
RUN python deploy/requirements_of.py demo > demo.txt \
    && pip --python /opt/venv/bin/python install -r demo.txt
COPY ingester_demo ingester_demo
RUN pip --python /opt/venv/bin/python install --no-deps --force-reinstall .

# All that runs, but for the virtual environment.
FROM python:${PYTHON}-slim AS runtime
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --no-log-init --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin ingester
WORKDIR /app
COPY deploy/entrypoint deploy/healthcheck /usr/local/bin/
COPY listener.py tasks.py celeryconfig.py ./
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
