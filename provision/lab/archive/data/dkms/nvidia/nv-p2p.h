/* A stand-in for the header of the driver's peer-to-peer entry points. */
struct nvidia_p2p_page_table {
	unsigned int version;
	unsigned int entries;
};

int nvidia_p2p_get_pages(unsigned long start, unsigned long length, struct nvidia_p2p_page_table **table);
