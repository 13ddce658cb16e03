echo "report v1"
