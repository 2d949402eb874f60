/* A shared object that is no module. */
int so_empty(void);
int so_empty(void)
{
    return 0;
}
