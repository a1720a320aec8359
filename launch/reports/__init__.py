"""Texts, pictures and pages made from records."""
