"""N3: networks written from descriptions (Jin, Yan et al., ACL 2020)."""
