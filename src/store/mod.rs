//! Records on redb: write sets, indexes, the feed, consumers, blobs. Knows no feature.
