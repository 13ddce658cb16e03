# Stands for the services of a stack that nobody asks anything here: agent and runtime-node.
ARG BUSYBOX
FROM ${BUSYBOX}
ARG VERSION
LABEL org.opencontainers.image.version="${VERSION}"
CMD ["/bin/busybox", "httpd", "-f", "-p", "8080"]
