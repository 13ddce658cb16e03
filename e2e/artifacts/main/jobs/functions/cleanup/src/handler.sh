echo "clean"
