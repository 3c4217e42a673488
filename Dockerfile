# HQ without a browser for agents, and with one.
#   docker build -t hq .
#   docker build --target hq-browser -t hq .
#   docker run -p 127.0.0.1:8080:8080 -v hq:/data hq

FROM node:22-bookworm-slim AS assets
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund --ignore-scripts
COPY scripts/assets.mjs scripts/
COPY static static
RUN npm run assets

FROM rust:1.95-slim-bookworm AS skeleton
WORKDIR /src
COPY . .
RUN scripts/skeleton.sh /skeleton

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# The dependencies are a layer of their own: they change seldom and take most of the time.
COPY --from=skeleton /skeleton .
RUN cargo build --profile dist --locked --bin hq
COPY . .
COPY --from=assets /src/static/dist static/dist
# The stubs above are newer than the sources just copied; cargo compares times.
RUN find src scripts -name '*.rs' -exec touch {} + && cargo build --profile dist --locked --bin hq

FROM debian:bookworm-slim AS hq-slim
# Certificates for calls to model providers; the version is Debian's stable one.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /data --no-create-home hq \
    && install -d -o hq -g hq -m 0700 /data \
    && install -D /dev/null /etc/hq/container
COPY --from=build /src/target/dist/hq /usr/local/bin/hq
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/hq/
USER 10001:10001
# On hosts that give every program pages of 2 MiB its first few take 3 MB more than they hold.
ENV HQ_DATA=/data HQ_LISTEN=0.0.0.0:8080 MIMALLOC_ALLOW_THP=0
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
# Asks the running server through the socket in its data folder: no port, no sign-in, no curl.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 CMD ["hq", "healthcheck"]
ENTRYPOINT ["hq"]
CMD ["serve"]

FROM hq-slim AS hq-browser
USER root
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends chromium fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/*
USER 10001:10001

# What is built when no target is named.
FROM hq-slim
