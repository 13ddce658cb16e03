# The controller with everything that it runs: Python, git, ssh, gpg, the docker command with compose and buildx, an init.
# The last stage starts from nothing, and takes over only what image/collect.py names.
#
#   docker build --tag artifact-controller:0.1.0 .
#
# BASE is a Debian image with Python 3.11 or newer, TOOLS one with the docker command and both plugins. Packages that the
# base lacks are installed while building. Without network, a base that has them does, and two more contexts: --build-context
# tools=FOLDER instead of TOOLS, and --build-context wheels=FOLDER with the packages of requirements.runtime.lock.
ARG BASE=python:3.13-slim-bookworm
ARG TOOLS=docker:28-cli

FROM ${TOOLS} AS tools

FROM scratch AS wheels

FROM ${BASE} AS system
RUN for name in git ssh gpg tini; do \
        command -v "$name" >/dev/null || { \
            apt-get update -qq && \
            apt-get install -y -qq --no-install-recommends ca-certificates git openssh-client gpg tini && \
            break; }; \
    done
COPY image/collect.py /collect.py
RUN --mount=type=bind,from=tools,target=/tools ["python3", "/collect.py", "/image", "/tools"]

# Bytecode alone, without what rich colours sources with: nobody looks at those here.
FROM ${BASE} AS application
COPY requirements.runtime.lock /requirements.lock
RUN --mount=type=bind,from=wheels,target=/wheels \
    set -- /wheels/*.whl; \
    if [ -e "$1" ]; then set -- --no-index --find-links /wheels; else set --; fi; \
    "$(readlink -f "$(command -v python3)")" -m venv /opt/controller && \
    /opt/controller/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check --no-compile \
        --require-hashes --only-binary :all: --requirement /requirements.lock "$@" && \
    /opt/controller/bin/python -m pip uninstall --quiet --yes pip setuptools pygments markdown-it-py mdurl && \
    cd /opt/controller && rm -rf include share bin/*ctivate* && \
    find . '(' -name __pycache__ -o -name tests ')' -prune -exec rm -rf {} + && \
    python3 -m compileall -q -b /opt/controller/lib && find lib -name '*.py' -delete && \
    echo /opt/controller/code >"$(echo lib/python3*/site-packages)/controller.pth"

FROM ${BASE} AS code
ARG VERSION=0.1.0
COPY core /opt/controller/code/core
COPY manifests /opt/controller/code/manifests
COPY controller /opt/controller/code/controller
COPY LICENSE /opt/controller/code/LICENSE
COPY --chmod=0755 image/controller /opt/controller/bin/controller
RUN grep -qx "__version__ = \"${VERSION}\"" /opt/controller/code/controller/__init__.py || \
        { echo "VERSION=${VERSION} is not the version of the code" >&2; exit 1; }; \
    python3 -m compileall -q --invalidation-mode unchecked-hash /opt/controller/code

FROM scratch
COPY --from=system /image /
COPY --from=application /opt/controller /opt/controller
COPY --from=code /opt/controller /opt/controller
ARG VERSION=0.1.0
ARG REVISION=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="artifact-controller" \
      org.opencontainers.image.description="Keeps an artifact-first serverless stack on Docker converged with the artifacts in a source." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
# HOME: any user may run it, also one without an entry in /etc/passwd; what docker's plugins write there is not kept.
# DOCKER_CONFIG: where config.json with the passwords of registries may be mounted.
# CONTROLLER_HTTP__LISTEN: within the container only, for the health check.
# TINI_SUBREAPER: with `pid: host` the init is not process 1, and children would be left to that of the host.
ENV PATH=/opt/controller/bin:/usr/local/bin:/usr/bin \
    HOME=/tmp \
    DOCKER_CONFIG=/etc/docker-client \
    BUILDX_CONFIG=/tmp/buildx \
    LANG=C.UTF-8 \
    TINI_SUBREAPER=1 \
    CONTROLLER_HTTP__LISTEN=127.0.0.1:8080
USER 1000:1000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["controller", "healthcheck"]
ENTRYPOINT ["tini", "--", "controller"]
CMD ["reconcile"]
