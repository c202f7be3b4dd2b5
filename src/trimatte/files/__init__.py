"""Files that are written whole or not at all, JSON lines, addresses of remote stores."""
