"""Plain requests, answered before they reach the framework.

Only what ends in a 200 is answered here, and byte for byte as the route would; the
framework has everything else to itself, every refusal included.
"""
