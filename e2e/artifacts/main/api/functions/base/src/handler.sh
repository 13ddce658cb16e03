cat /etc/lambda-base
