"""Encoders: pictures and sentences in one space."""
