echo "hello v1"
