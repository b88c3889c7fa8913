# The image of the proxy: docker build -t kidoproxy .
#
#   docker run --rm -p 6380:6380 -v ./ring.toml:/etc/kidoproxy/kidoproxy.toml:ro kidoproxy
#
# In the configuration, listen on 0.0.0.0 with a password for the clients (without one it does not start, unless
# "protected = false" says that this is meant), and let admin be "0.0.0.0:9380": the health check asks there.
# It has no servers of its own: the extra "demo" is for a first run on a host.

ARG PYTHON=3.12-slim-bookworm

FROM docker.io/library/python:${PYTHON} AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY deploy/compile_hook.py deploy/compile_packages.py deploy/
COPY deploy/share deploy/share
COPY kidoproxy kidoproxy
# Without the compiled core the image would be slow in silence: here a failure is an error.
RUN python -m venv /opt/kidoproxy \
 && KIDOPROXY_COMPILE=require /opt/kidoproxy/bin/pip install --no-cache-dir . \
 && /opt/kidoproxy/bin/pip uninstall -q -y pip setuptools \
 && /opt/kidoproxy/bin/kidoproxy version | grep -q "(compiled)"

FROM docker.io/library/python:${PYTHON}
RUN groupadd --gid 10001 kidoproxy \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/kidoproxy --shell /usr/sbin/nologin kidoproxy \
 && install -d -o kidoproxy -g kidoproxy -m 0750 /var/lib/kidoproxy
COPY --from=build /opt/kidoproxy /opt/kidoproxy
ENV PATH=/opt/kidoproxy/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    STATE_DIRECTORY=/var/lib/kidoproxy
# As numbers, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 6380 9380
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
  CMD ["python", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 9380, timeout=2); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["kidoproxy"]
CMD ["serve", "--config", "/etc/kidoproxy/kidoproxy.toml"]
