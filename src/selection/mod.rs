//! The pool policies of RFC 5356: which pool element is chosen next.
