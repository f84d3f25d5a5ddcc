"""What proxies ask before they let a request through: which routes need what."""
