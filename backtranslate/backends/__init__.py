"""The backends by name. Each is loaded only when named, and says how to install it when missing."""
