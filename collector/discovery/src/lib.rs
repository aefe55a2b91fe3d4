//! Target discovery: one provider per file under providers/.
