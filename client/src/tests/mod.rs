//! The client against servers in this process that speak the wire.
