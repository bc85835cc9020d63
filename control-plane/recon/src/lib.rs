//! Recon: the cluster as an API and a web page.
//!
//! Owns    the passive view of SCM and OM, the REST paths and the pages drawn from it.
//! Never   decides or changes anything in the cluster.
