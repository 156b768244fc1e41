//! wip
#![forbid(unsafe_code)]
pub mod project;
