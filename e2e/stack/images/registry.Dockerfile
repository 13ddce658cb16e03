# Debian's registry with the C library that it wants.
ARG BUSYBOX
FROM ${BUSYBOX}
COPY --from=libc lib /lib
COPY --from=libc lib64 /lib64
COPY --from=tools usr/bin/docker-registry /usr/bin/docker-registry
COPY registry.yml /etc/registry.yml
RUN mkdir -p /var/lib/registry
CMD ["/usr/bin/docker-registry", "serve", "/etc/registry.yml"]
