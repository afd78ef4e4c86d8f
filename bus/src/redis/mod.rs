//! Presence of a cluster.
