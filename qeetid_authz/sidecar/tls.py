"""What a sidecar is recognised by."""

import os
import ssl

from qeetid_authz.sidecar.options import Address


def recognition(
    address: Address, ca_file: str | os.PathLike[str] | None
) -> ssl.SSLContext | None:
    """What verifies the sidecar's certificate, for its name; None without TLS.

    Raises:
        ValueError: `ca_file` is of no use, or isn't used.
    """
    if not address.is_encrypted:
        if ca_file is not None:
            raise ValueError(f"ca_file is for `https:`, and not for `{address.name}`")
        return None
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ValueError(
            f"ca_file `{ca_file}` must be a PEM file of certificates"
            f" ({error.strerror or error})"
        ) from None
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
