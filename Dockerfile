# syntax=docker/dockerfile:1
# The final image holds one binary, the C library, the root certificates and the licences: no shell, no package manager.
ARG BUILD_IMAGE=docker.io/library/rust:1.95-slim-bookworm

FROM ${BUILD_IMAGE} AS build
# `yes`: built in two rounds, as for releases (docs/performance.md), which takes ten minutes instead of three.
ARG GUIDED=
WORKDIR /build
# The manifest names the tests and benches. A guided build runs one of these.
COPY Cargo.toml Cargo.lock ./
COPY src ./src
COPY tests ./tests
COPY benches ./benches
COPY config/packages/build.sh ./config/packages/
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    if [ "$GUIDED" = yes ]; then \
        rustup component add llvm-tools && config/packages/build.sh /airbyte-proxy; \
    else \
        cargo build --locked --profile dist --bin airbyte-proxy && cp target/dist/airbyte-proxy /airbyte-proxy; \
    fi
COPY config/containers/rootfs.sh ./
RUN ./rootfs.sh /airbyte-proxy /rootfs

FROM scratch
COPY --from=build /rootfs /
# Of the program, and of what is compiled into it.
COPY LICENSE-APACHE LICENSE-MIT docs/third-party-licenses.txt /usr/share/doc/airbyte-proxy/
# Numeric, so that Kubernetes' runAsNonRoot can check it.
USER 65532:65532
EXPOSE 8484
# There is no shell, so everything is started by its path; this is for `docker exec`.
ENV PATH=/usr/local/bin
HEALTHCHECK --interval=10s --timeout=4s --start-period=5s --retries=3 CMD ["/usr/local/bin/airbyte-proxy", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/airbyte-proxy"]
CMD ["serve"]
