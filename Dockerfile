# syntax=docker/dockerfile:1
# The final image holds one binary, the root certificates and the C library: no shell, no package manager.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src ./src
# The manifest names the test binary, which is not built here.
RUN mkdir -p tests/it && echo 'fn main() {}' > tests/it/main.rs
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --locked --profile dist --bin airbyte-proxy && cp target/dist/airbyte-proxy /airbyte-proxy

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /airbyte-proxy /usr/local/bin/airbyte-proxy
# Numeric, so that Kubernetes' runAsNonRoot can check it.
USER 65532:65532
EXPOSE 8484
HEALTHCHECK --interval=10s --timeout=4s --start-period=5s --retries=3 CMD ["airbyte-proxy", "healthcheck"]
ENTRYPOINT ["airbyte-proxy"]
CMD ["serve"]
