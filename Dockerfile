# The executable on a system with glibc and little else. No secret goes in: credentials for a
# cluster come at run time (DEPOSITAJA_SASL_PASSWORD, or a file that is mounted).

FROM oven/bun:1.4.5 AS build
WORKDIR /build
# What is installed changes less often than the source.
COPY package.json bun.lock bunfig.toml ./
COPY patches ./patches
RUN ["bun", "install", "--frozen-lockfile"]
COPY tsconfig.json ./
COPY src ./src
RUN ["bun", "run", "build"]

FROM debian:trixie-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin depositaja \
  && install --directory --owner depositaja --group depositaja /var/lib/depositaja
COPY --from=build /build/dist/depositaja /usr/local/bin/depositaja
USER depositaja
# A volume on a local disk; network file systems are refused.
ENV DEPOSITAJA_DATA=/var/lib/depositaja
VOLUME ["/var/lib/depositaja"]
WORKDIR /var/lib/depositaja
EXPOSE 8080
ENTRYPOINT ["depositaja"]
# Publish it on this machine alone: docker run -p 127.0.0.1:8080:8080 depositaja
CMD ["up", "--host", "0.0.0.0", "--allow-host", "localhost"]
