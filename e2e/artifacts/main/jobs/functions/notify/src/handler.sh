cat /var/task/text
