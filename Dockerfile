# Two images from one file:
#   docker build --target service -t slicery-service .    the API, migrations and keys
#   docker build --target worker  -t slicery-worker  .    the workers

FROM python:3.12-slim AS wheels
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY constraints.txt ./
RUN pip install -c constraints.txt hatchling
COPY LICENSE ./
COPY migrations migrations/
COPY client client/
COPY service service/
COPY workers workers/
RUN pip wheel --no-deps --no-build-isolation -w /wheels ./client ./service ./workers

# What both images need comes first, so that they share it.
FROM wheels AS service-environment
RUN python -m venv /opt/slicery \
    && /opt/slicery/bin/pip install -c constraints.txt /wheels/slicery-*.whl /wheels/slicery_service-*.whl

FROM service-environment AS worker-environment
RUN /opt/slicery/bin/pip install -c constraints.txt /wheels/slicery_workers-*.whl

FROM python:3.12-slim AS runtime
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent slicery \
    && install -d -o 10001 -g 10001 /var/cache/slicery
ENV PATH=/opt/slicery/bin:$PATH \
    NUMBA_CACHE_DIR=/var/cache/slicery \
    PYTHONUNBUFFERED=1 \
    SLICERY_SOURCES_FILE=/etc/slicery/sources.toml
WORKDIR /tmp
USER 10001:10001

FROM runtime AS worker
COPY --from=worker-environment /opt/slicery /opt/slicery
# What the scanners compile is kept in the image; on another kind of processor it is compiled again, once.
RUN slicery-workers --compile
# Ask this container's worker through the broker whether it is alive; Celery names it after the host.
HEALTHCHECK --interval=60s --timeout=30s --start-period=30s --retries=3 \
    CMD ["sh", "-c", "celery -b \"$SLICERY_REDIS_URL\" inspect ping -d \"celery@$(hostname)\" -t 10 >/dev/null"]
ENTRYPOINT ["slicery-workers"]

# The last target is what a plain `docker build .` makes.
FROM runtime AS service
COPY --from=service-environment /opt/slicery /opt/slicery
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["slicery-service"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
