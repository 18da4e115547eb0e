"""The record of every act, and of every refusal worth remembering."""
