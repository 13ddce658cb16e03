cat /var/task/sizes
