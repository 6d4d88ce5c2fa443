"""The family compilation: compiled and exported modules give what the module gives."""
