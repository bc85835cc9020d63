//! The client against servers in this process that speak the wire: what it sends, and what it makes of faults.

mod cancel;
mod golden;
mod om_answers;
mod om_calls;
mod reads;
mod server;
mod slow;
mod streams;
mod world;
mod writes;
