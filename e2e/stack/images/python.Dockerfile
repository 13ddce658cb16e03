# Debian's Python, and the libraries of requirements.txt beside it.
FROM scratch
COPY --from=root . /
COPY --from=site . /usr/local/lib/python3.11/dist-packages/
RUN ["/usr/bin/python3.11", "-c", "import os; os.mkdir('/tmp')"]
RUN ["/usr/bin/python3.11", "-m", "compileall", "-q", "/usr/lib/python3.11", "/usr/local/lib/python3.11"]
ENV PYTHONUNBUFFERED=1
WORKDIR /app
