# The gateway and the provisioner: one image under several names, told apart by their command (compose.yml).
ARG PYTHON
FROM ${PYTHON}
COPY --from=tools usr/bin/ctr /usr/bin/ctr
COPY provisioner.py /app/e2e/stack/provisioner.py
COPY gateway /app/e2e/stack/gateway
ARG VERSION
LABEL org.opencontainers.image.version="${VERSION}"
ENV TAG="${VERSION}"
