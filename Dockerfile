# The executable on a system with glibc and little else. No secret goes in: credentials for a
# cluster, keys and certificates come at run time (variables, or a folder that is mounted).

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
# It refuses to start without keys and HTTPS, from a mounted folder that uid 10001 may read:
#   docker run -v ./access:/etc/depositaja:ro -e DEPOSITAJA_KEYS_FILE=/etc/depositaja/keys \
#     -e DEPOSITAJA_HTTPS_CERT=/etc/depositaja/server.crt \
#     -e DEPOSITAJA_HTTPS_KEY=/etc/depositaja/server.key -p 8443:8080 depositaja
# Or, published on this machine alone, when told that this will do:
#   docker run -e DEPOSITAJA_INSECURE=true -p 127.0.0.1:8080:8080 depositaja
CMD ["up", "--host", "0.0.0.0", "--allow-host", "localhost"]
