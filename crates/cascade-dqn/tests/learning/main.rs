//! What is learned, what the policies show, and that a training can be stopped.

mod anchor;
mod policies;
mod resume;
mod slate_q;
