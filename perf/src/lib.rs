//! Load generators and their reports.
//!
//! Owns    loads that speak only the wire, exact latency histograms, the machine's own limits, comparisons.
//! Never   links a server: what it measures, it measures from outside.
