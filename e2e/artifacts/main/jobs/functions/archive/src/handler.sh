echo "archived"
