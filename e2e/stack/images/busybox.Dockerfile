# The smallest image with a shell: one static binary. What the others start from.
FROM scratch
COPY --from=tools bin/busybox /bin/busybox
RUN ["/bin/busybox", "mkdir", "-p", "/tmp", "/etc", "/sbin", "/usr/bin", "/usr/sbin"]
RUN ["/bin/busybox", "--install", "-s"]
