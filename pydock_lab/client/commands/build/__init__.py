"""`image build`: what is sent, and what is read of the answer."""
