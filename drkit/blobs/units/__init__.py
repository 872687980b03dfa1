"""Big work on blobs, cut into units that are done in any order, here by threads or elsewhere by a cluster."""
