"""N3: networks written from descriptions (Jin, Liu et al., ACL 2020)."""
