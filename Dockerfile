# The service alone, as an ordinary user, on a Postgres of your own or (with /var/lib/authsvc kept) on the embedded one.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.txt pyproject.toml README.md ./
RUN python -m venv /opt/authsvc && /opt/authsvc/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
COPY authsvc authsvc
COPY migrations migrations
RUN /opt/authsvc/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim
LABEL org.opencontainers.image.title="authsvc" \
      org.opencontainers.image.description="Token authorization for Docker and OCI registries" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 65532 --home-dir /var/lib/authsvc --create-home authsvc
COPY --from=build /opt/authsvc /opt/authsvc
ENV PATH=/opt/authsvc/bin:$PATH AUTHSVC_HOST=0.0.0.0 AUTHSVC_DATA_DIR=/var/lib/authsvc
USER authsvc
WORKDIR /var/lib/authsvc
VOLUME /var/lib/authsvc
EXPOSE 5001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5001/livez', timeout=2)"]
CMD ["authsvc", "serve"]
