# What functions start from: answers POST /cgi-bin/invoke on $PORT with what /var/task/handler.sh prints.
ARG BUSYBOX
FROM ${BUSYBOX}
COPY lambda-base/invoke /www/cgi-bin/invoke
ARG VERSION
RUN echo "${VERSION}" > /etc/lambda-base
LABEL org.opencontainers.image.version="${VERSION}"
ENV PORT=8080
CMD ["/bin/sh", "-c", "exec httpd -f -p $PORT -h /www"]
