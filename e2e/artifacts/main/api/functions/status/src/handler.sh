echo "up"
